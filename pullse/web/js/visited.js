/* The numbers of the tickets that one has looked at on this device, the last one first: nothing
   of what is in them, and none of another agent's. Forgotten at the sign-out. */

const NAME = 'pullse.visited'
const AT_MOST = 8

export function visited(agent) {
  try {
    const kept = JSON.parse(localStorage.getItem(NAME))
    return kept?.agent === agent ? kept.numbers : []
  } catch {
    return []
  }
}

export function visit(agent, number) {
  const numbers = [number, ...visited(agent).filter((each) => each !== number)].slice(0, AT_MOST)
  localStorage.setItem(NAME, JSON.stringify({ agent, numbers }))
}

export const forget = () => localStorage.removeItem(NAME)
