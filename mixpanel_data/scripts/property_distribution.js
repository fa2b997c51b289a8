// The most frequent values of a property, and how many events have one at all.

// Values are keys as JSON text: 1 and "1" stay apart, and a list does not lengthen the key.
function valueAsJson(event) {
  return JSON.stringify(propertyOf(event, params.property));
}

function byCount(one, other) {
  if (one.count !== other.count) return other.count - one.count;
  return one.value < other.value ? -1 : one.value > other.value ? 1 : 0;
}

// Reducers are called with what they returned before, in no defined order: this one gives the same in each.
function largest(earlier, groups) {
  var total = 0;
  var values = groups.map(function (group) {
    total += group.value;
    return { value: group.key[0], count: group.value };
  });
  earlier.forEach(function (found) {
    total += found.total;
    values = values.concat(found.values);
  });
  return { total: total, values: values.sort(byCount).slice(0, params.limit) };
}

function main() {
  return chosenEvents()
    .filter(function (event) { return isDefined(propertyOf(event, params.property)); })
    .groupBy([valueAsJson], mixpanel.reducer.count())
    .reduce(largest);
}
