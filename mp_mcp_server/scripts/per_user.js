// How often the users who did one event went on to do others: for each the sum over users, and of the squares.

function selectors() {
  return [{ event: params.born_event, selector: params.filter }].concat(
    params.events.map(function (name) { return { event: name }; })
  );
}

function zeros() {
  return params.events.map(function () { return 0; });
}

// A user's events come in the order of time: what they did before they belonged is not counted.
function counted(state, events) {
  state = state || { belongs: false, counts: zeros() };
  events.forEach(function (event) {
    var place = params.events.indexOf(event.name);
    if (event.name === params.born_event) state.belongs = true;
    else if (place >= 0 && state.belongs) state.counts[place] += 1;
  });
  return state;
}

// Reducers are called with what they returned before, in no defined order: this one gives the same in each.
function summed(earlier, users) {
  var sums = { users: users.length, sums: zeros(), squares: zeros() };
  users.forEach(function (user) {
    user.value.counts.forEach(function (count, place) {
      sums.sums[place] += count;
      sums.squares[place] += count * count;
    });
  });
  earlier.forEach(function (part) {
    sums.users += part.users;
    part.sums.forEach(function (sum, place) {
      sums.sums[place] += sum;
      sums.squares[place] += part.squares[place];
    });
  });
  return sums;
}

function main() {
  return Events({ from_date: params.from_date, to_date: params.to_date, event_selectors: selectors() })
    .filter(function (event) { return event.distinct_id !== undefined && event.distinct_id !== ""; })
    .groupByUser(counted)
    .filter(function (user) { return user.value.belongs; })
    .reduce(summed);
}
