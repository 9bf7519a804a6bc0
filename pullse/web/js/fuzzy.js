/* How well a few typed letters fit a name: all of them, in their order, best at the beginnings of
   words and side by side. Letters that are merely scattered in it do not. */

const FOLDED = /\p{Diacritic}/gu

/** `{ score, at }`, where `at` are the places of the letters; null for what does not fit. */
export function fit(typed, name) {
  const letters = folded(typed.replace(/\s+/g, ''))
  const places = folded(name)
  const found = starts(places, letters[0])
    .map((start) => from(start, letters, places))
    .filter(Boolean)
  if (!letters.length) return { score: 0, at: [] }
  const best = found.sort((a, b) => b.score - a.score)[0]
  return letters.length < 2 || best?.score > 0 ? best : null
}

/** The name in pieces, each said whether it was typed. */
export function pieces(name, at) {
  const taken = new Set(at)
  const parts = []
  for (const [place, letter] of [...name].entries()) {
    const isTyped = taken.has(place)
    if (parts.at(-1)?.isTyped === isTyped) parts.at(-1).text += letter
    else parts.push({ text: letter, isTyped })
  }
  return parts
}

function from(start, letters, name) {
  const at = [start]
  for (const letter of letters.slice(1)) {
    const rest = starts(name, letter).filter((place) => place > at.at(-1))
    if (!rest.length) return null
    const next = rest.find((place) => place === at.at(-1) + 1) ?? rest.find((place) => begins(name, place)) ?? rest[0]
    at.push(next)
  }
  const joined = at.filter((place, index) => index && place === at[index - 1] + 1).length
  const first = at.filter((place) => begins(name, place)).length
  return { at, score: 3 * joined + 2 * first - at[0] / 10 - (at.at(-1) - at[0]) / 20 - name.length / 100 }
}

const begins = (name, place) => place === 0 || !/[\p{L}\p{N}]/u.test(name[place - 1])

const starts = (name, letter) => name.flatMap((each, place) => (each === letter ? [place] : []))

/** One entry for each letter of the text, without what is above and below it. */
const folded = (text) => [...text].map((letter) => letter.normalize('NFD').replace(FOLDED, '').toLowerCase()[0] ?? letter)
