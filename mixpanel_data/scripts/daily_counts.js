// How often each event happened on each day.

// A script's times are the project's wall clock already, so that the UTC day is the project's.
function day(event) {
  return new Date(event.time).toISOString().slice(0, 10);
}

function main() {
  return chosenEvents().groupBy([day, "name"], mixpanel.reducer.count());
}
