// Applies the keeper rule to groups of images, as the next merge will.
let out = new Map();  // from each dropped image to the image that is kept instead

// The keeper rule, as in keeping/keepers.py. `order` has the best image first; images to keep come before all others.
// An image is dropped if it matches a keeper before it. Returns a Map from each dropped image to its first such keeper.
// All images of one `equal` set match each other, and those of one `node` match what one of them matches: see
// keeping/equal_images.py.
function selectRedundant(order, matches, kept) {
  const staying = new Map(), dropped = new Map(), joined = new Map(), byNode = new Map(), bySet = new Map();
  const [node, set] = [one => one.node ?? one, one => one.equal ?? one];
  for (const [one, others] of matches) for (const other of others) into(joined, node(one), node(other));
  for (const one of [...order.filter(one => kept.has(one)), ...order.filter(one => !kept.has(one))]) {
    const groups = [bySet.get(set(one)), ...[...joined.get(node(one)) ?? []].map(other => byNode.get(other))];
    const better = kept.has(one) ? [] : groups.map(group => group && first(group, other => other !== one && mayMatch(one, other)));
    const keepers = better.filter(other => other !== undefined);
    if (keepers.length) dropped.set(one, keepers.reduce((a, b) => staying.get(a) < staying.get(b) ? a : b));
    else {
      staying.set(one, staying.size);
      into(byNode, node(one), one);
      into(bySet, set(one), one);
    }
  }
  return dropped;
}

function into(sets, key, value) {
  if (!sets.has(key)) sets.set(key, new Set());
  sets.get(key).add(value);
}

function first(values, fits) {
  for (const value of values) if (fits(value)) return value;
}
const mayMatch = (a, b) => !(a.equal || b.equal) || verdict({a, b}) !== "different";

function matchesAmong(pairs) {
  const matches = new Map();
  for (const pair of pairs) {
    const {a, b} = pair;
    const stands = (a.node || b.node) && verdict(pair) !== "same" ? pair.kind : verdict(pair) ?? pair.kind;
    if (!["copy", "same"].includes(stands)) continue;
    for (const [one, other] of [[a, b], [b, a]]) matches.set(one, (matches.get(one) ?? new Set()).add(other));
  }
  return matches;
}

function applyRule(groups) {
  for (const group of groups) {
    const matches = matchesAmong(group.pairs);
    const matching = group.images.filter(image => matches.has(image) || image.equal);
    for (const image of group.images) out.delete(image);
    for (const [image, keeper] of selectRedundant(matching, matches, new Set(group.images.filter(isKept)))) out.set(image, keeper);
  }
}
