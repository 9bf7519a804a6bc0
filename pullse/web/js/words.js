/* What scripts say, in the language of the page, which brings the words along (web/live.html). */

/** With `{holes}` filled in. */
export function word(name, given = {}) {
  const text = document.getElementById('live-words')?.dataset[name] ?? ''
  return text.replace(/\{(\w+)\}/g, (hole, key) => given[key] ?? hole)
}
