// The numbers of a property; values that are no numbers are left out.

function numberOf(event) {
  return propertyOf(event, params.property);
}

function main() {
  return chosenEvents()
    .filter(function (event) { return typeof numberOf(event) === "number" && isFinite(numberOf(event)); })
    .reduce([
      mixpanel.reducer.numeric_summary(numberOf),
      mixpanel.reducer.min(numberOf),
      mixpanel.reducer.max(numberOf),
      mixpanel.reducer.numeric_percentiles(numberOf, params.percentiles),
    ]);
}
