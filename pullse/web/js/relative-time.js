/* <relative-time><time datetime>: "5 min ago", which stays right. One timer for all of a page, none
   while nobody looks. The words are those of the server (frame.py, `ago`). */

import { word } from './words.js'

const UNITS = { Year: 31_557_600, Month: 2_629_800, Day: 86_400, Hour: 3600, Minute: 60 }
const EACH = 15_000

const shown = new Set()
let timer

class RelativeTime extends HTMLElement {
  // Lifecycle

  connectedCallback() {
    shown.add(this)
    this.update(Date.now())
    run()
  }

  disconnectedCallback() {
    shown.delete(this)
    run()
  }

  // Actions

  update(now) {
    const time = this.querySelector('time')
    const text = time && ago((now - Date.parse(time.dateTime)) / 1000)
    if (text && text !== time.textContent) time.textContent = text
  }
}

// Private

function ago(seconds) {
  for (const [unit, size] of Object.entries(UNITS)) {
    const n = Math.floor(seconds / size)
    if (n > 1) return word(`ago${unit}`, { n })
    if (n === 1) return word(`agoOne${unit}`)
  }
  return word('agoNow')
}

function run() {
  const isNeeded = shown.size > 0 && !document.hidden
  if (isNeeded && !timer) timer = setInterval(updateAll, EACH)
  if (!isNeeded) timer = clearInterval(timer)
}

function updateAll() {
  const now = Date.now()
  shown.forEach((each) => each.update(now))
}

document.addEventListener('visibilitychange', () => {
  if (!document.hidden) updateAll()
  run()
})

customElements.define('relative-time', RelativeTime)
