// How many events there are, and how many have each of some properties; null is as good as nothing.

// Reducers are called with what they returned before, in no defined order: this one gives the same in each.
function covered(earlier, events) {
  var sums = {
    total: events.length,
    defined: params.properties.map(function (name) {
      return events.filter(function (event) { return isDefined(propertyOf(event, name)); }).length;
    }),
  };
  earlier.forEach(function (found) {
    sums.total += found.total;
    sums.defined = sums.defined.map(function (count, place) { return count + found.defined[place]; });
  });
  return sums;
}

function main() {
  return chosenEvents().reduce(covered);
}
