// How many users did how many events.

function main() {
  return chosenEvents()
    .filter(function (event) { return isDefined(event.distinct_id) && event.distinct_id !== ""; })
    .groupByUser(mixpanel.reducer.count())
    .groupBy([mixpanel.numeric_bucket("value", params.buckets)], mixpanel.reducer.count());
}
