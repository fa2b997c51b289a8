// Mixpanel's own library for Node: each of its calls once, and what became of it.
const Mixpanel = require(process.argv[2]);

const { host } = new URL(process.env.MP_API_BASE_URL);
const at = { protocol: "http", host, keepAlive: false };
const client = Mixpanel.init(process.env.MP_TOKEN, at);
const verbose = Mixpanel.init(process.env.MP_TOKEN, { ...at, verbose: true });
const acme = ["company", "Acme"];

const calls = {
  track: (done) => client.track("Node Tracked", { distinct_id: "ada", color: "grün 東京" }, done),
  track_verbose: (done) => verbose.track("Node Tracked", { distinct_id: "ada", n: 1.5 }, done),
  track_batch: (done) =>
    client.track_batch(
      [1, 2, 3].map((n) => ({ event: "Node Tracked", properties: { distinct_id: "bob", n } })),
      done,
    ),
  alias: (done) => client.alias("ada", "ada-alias", done),
  "people.set": (done) => client.people.set("ada", { $name: "Ada", plan: "pro", old: 1 }, { $ip: "0" }, done),
  "people.set_once": (done) => client.people.set_once("ada", { plan: "free", source: "friend" }, done),
  "people.increment": (done) => client.people.increment("ada", { visits: 3 }, done),
  "people.append": (done) => client.people.append("ada", { tags: "x" }, done),
  "people.union": (done) => client.people.union("ada", { tags: ["x", "y"] }, done),
  "people.remove": (done) => client.people.remove("ada", { tags: "x" }, done),
  "people.track_charge": (done) => client.people.track_charge("ada", 12.5, {}, done),
  "people.clear_charges": (done) => client.people.clear_charges("ada", done),
  "people.unset": (done) => client.people.unset("ada", ["old"], done),
  "people.delete_user": (done) => client.people.delete_user("nobody", done),
  "groups.set": (done) => client.groups.set(...acme, { seats: 5, old: 1 }, done),
  "groups.set_once": (done) => client.groups.set_once(...acme, { seats: 9, city: "Lyon" }, done),
  "groups.union": (done) => client.groups.union(...acme, { tags: ["a", "b"] }, done),
  "groups.remove": (done) => client.groups.remove(...acme, { tags: "a" }, done),
  "groups.unset": (done) => client.groups.unset(...acme, "old", done),
  "groups.delete_group": (done) => client.groups.delete_group("company", "Gone", done),
};

(async () => {
  const outcomes = {};
  for (const [name, call] of Object.entries(calls)) {
    outcomes[name] = await new Promise((resolve) => call((error) => resolve(error ? String(error) : "works")));
  }
  process.stdout.write(JSON.stringify(outcomes));
})();
