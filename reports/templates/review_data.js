// What the page has to review. All ranking comes from here: the order of each set's images, for the keeper rule and for
// each bulk rule.
const data = JSON.parse(at("data").textContent);
const {images} = data;
const pairOf = ([a, b, kind, alike, why]) => ({a: images[a], b: images[b], kind, alike, why});
const sets = data.sets.map((set, i) => {
  const members = set.images.map(id => images[id]);
  const orders = Object.fromEntries(Object.entries(set.orders).map(([rule, ids]) => [rule, ids.map(id => images[id])]));
  const paths = members.map(({dataset, path}) => `${dataset}/${path}`).sort();
  return {...set, number: i + 1, images: members, pairs: set.pairs.map(pairOf), orders, id: `${set.section} ${paths[0]}`};
});
for (const image of images) image.whys = new Map();  // from another image: why one of them is kept before the other
for (const {a, b, why} of sets.flatMap(set => set.pairs)) {
  if (why) a.whys.set(b, why);
  if (why) b.whys.set(a, why);
}
const setsById = new Map(sets.map(set => [set.id, set]));
const imageKey = (dataset, path) => `${dataset} ${path}`;
const imagesByKey = new Map(images.map(image => [imageKey(image.dataset, image.path), image]));
const topic = ({dataset, path}) => dataset + path.slice(0, path.lastIndexOf("/"));

// Within a topic, and with references: a copy across topics drops nothing.
const isWithinMerge = ({a, b}) => topic(a) === topic(b) || a.dataset < 0 || b.dataset < 0;

// A group has the images whose fates can depend on each other, in the order of the keeper rule. After a decision, the rule
// is applied again to the groups of its images alone.
const groups = makeGroups();

function makeGroups() {
  for (const image of images) image.leader = image;
  const firsts = new Map();
  for (const image of images.filter(({equal}) => equal)) {
    if (!firsts.has(image.equal)) firsts.set(image.equal, image);
    leaderOf(image).leader = leaderOf(firsts.get(image.equal));
  }
  const counting = sets.flatMap(set => set.pairs).filter(isWithinMerge);
  for (const {a, b} of counting) leaderOf(a).leader = leaderOf(b);
  const byLeader = new Map();
  for (const image of images) {
    const leader = leaderOf(image);
    if (!byLeader.has(leader)) byLeader.set(leader, {images: [], pairs: [], sets: new Set()});
    image.group = byLeader.get(leader);
    image.group.images.push(image);
  }
  for (const pair of counting) pair.a.group.pairs.push(pair);
  for (const set of sets) for (const image of set.images) image.group.sets.add(set);
  return [...byLeader.values()];
}

function leaderOf(image) {
  while (image.leader !== image) image = image.leader = image.leader.leader;
  return image;
}
