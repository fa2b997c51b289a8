// What every script here begins with: the events that were asked for, and how their properties are read.

function chosenEvents() {
  var source = { from_date: params.from_date, to_date: params.to_date };
  if (params.events) {
    source.event_selectors = params.events.map(function (name) { return { event: name }; });
  }
  return Events(source);
}

// Inherited names, such as "constructor", are no properties; the id and the time stand beside the others.
function propertyOf(event, name) {
  if (Object.prototype.hasOwnProperty.call(event.properties, name)) return event.properties[name];
  return name === "distinct_id" || name === "time" ? event[name] : undefined;
}

function isDefined(value) {
  return value !== undefined && value !== null;
}
