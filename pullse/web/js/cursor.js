/* Places in the feed, as text: `<epoch>.<transaction>.<id>`. Within an epoch a later one is greater;
   another epoch is another life of the feed, which no place of this one is in. */

/** Is `one` behind `other`? Of different epochs, neither is. */
export function isBehind(one, other) {
  const [epoch, ...here] = one.split('.').map(BigInt)
  const [otherEpoch, ...there] = other.split('.').map(BigInt)
  if (epoch !== otherEpoch) return false
  return here[0] < there[0] || (here[0] === there[0] && here[1] < there[1])
}

export function isOfOtherLife(one, other) {
  return one.split('.')[0] !== other.split('.')[0]
}
