// Which properties an event's occurrences have, how many have each, and its values where they are few.

// Names are keys behind a dot: "__proto__" would be none otherwise.
function found(sums, name) {
  var key = "." + name;
  if (!Object.prototype.hasOwnProperty.call(sums.properties, key)) {
    sums.properties[key] = { count: 0, values: [] };
  }
  return sums.properties[key];
}

// null: more values than were asked for, or lists and objects, which are no single value.
function add(entry, count, values) {
  entry.count += count;
  if (entry.values === null) return;
  if (values === null) { entry.values = null; return; }
  values.forEach(function (value) {
    if (entry.values !== null && entry.values.indexOf(value) < 0) {
      if (entry.values.length === params.most) entry.values = null;
      else entry.values.push(value);
    }
  });
}

// Reducers are called with what they returned before, in no defined order: this one gives the same in each.
function merged(earlier, events) {
  var sums = { total: events.length, properties: {} };
  events.forEach(function (event) {
    Object.keys(event.properties).forEach(function (name) {
      var value = event.properties[name];
      if (value === null || value === undefined) return;
      add(found(sums, name), 1, typeof value === "object" ? null : [value]);
    });
  });
  earlier.forEach(function (part) {
    sums.total += part.total;
    Object.keys(part.properties).forEach(function (key) {
      add(found(sums, key.slice(1)), part.properties[key].count, part.properties[key].values);
    });
  });
  return sums;
}

function main() {
  return Events({
    from_date: params.from_date,
    to_date: params.to_date,
    event_selectors: [{ event: params.event }],
  }).reduce(merged);
}
