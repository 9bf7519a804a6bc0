/* <side-counts src="…">: keeps the numbers in the side bar right while things change, each two
   seconds at most and not while nobody looks; marks the list that is shown; and says in the page's
   title how many tickets are one's own. It moves no focus and announces nothing. */
import { load } from './http.js'

const PAUSE = 2000
const TOLD = ['fact', 'caught-up', 'visibilitychange']
const MOVES = window.navigation ?? window
const MOVED = window.navigation ? 'currententrychange' : 'popstate'
const NO_MATTER = ['cursor', 'limit', 'fragment', 'done', 'edit', 'open']

class SideCounts extends HTMLElement {
  #asked = 0
  #timer
  #isStale = false

  // Lifecycle

  connectedCallback() {
    for (const type of TOLD) document.addEventListener(type, this)
    MOVES.addEventListener(MOVED, this)
    this.#mark()
    this.#entitle()
  }

  disconnectedCallback() {
    clearTimeout(this.#timer)
    for (const type of TOLD) document.removeEventListener(type, this)
    MOVES.removeEventListener(MOVED, this)
  }

  handleEvent({ type, detail }) {
    if (type === MOVED) return this.#mark()
    if (type === 'fact') this.#isStale ||= /^(ticket|team)\./.test(detail?.name)
    if (type === 'caught-up') this.#isStale = true
    if (this.#isStale && !document.hidden) this.#soon()
  }

  // Actions

  async refresh() {
    this.#timer = undefined
    this.#asked = Date.now()
    this.#isStale = false
    try {
      const { nodes } = await load(this.getAttribute('src'))
      this.#take(nodes.querySelector('side-counts'))
    } catch {
      this.#isStale = true
    }
  }

  // Private

  #soon() {
    const rest = this.#asked + PAUSE * (1 + Math.random() / 4) - Date.now()
    this.#timer ??= setTimeout(() => this.refresh(), Math.max(rest, 50))
  }

  /** Numbers change in their places; only where lists came or went, all are put anew. */
  #take(fresh) {
    if (!fresh) return
    const [here, there] = [this, fresh].map((each) => [...each.querySelectorAll('[data-list]')])
    if (names(here) === names(there)) {
      here.forEach((link, index) => {
        link.href = there[index].getAttribute('href')
        count(link).textContent = count(there[index]).textContent
      })
    } else this.replaceChildren(...fresh.childNodes)
    this.#mark()
    this.#entitle()
  }

  #mark() {
    const home = location.pathname === '/' && document.querySelector('ticket-list')?.getAttribute('src')
    const now = list(home ? new URL(home, location) : location)
    for (const link of this.querySelectorAll('[data-list]')) {
      if (list(link) === now) link.setAttribute('aria-current', 'page')
      else link.removeAttribute('aria-current')
    }
  }

  #entitle() {
    const mine = this.querySelector('[data-list=mine] .side__count')?.textContent ?? ''
    const title = document.title.replace(/^\(\d+\) /, '')
    document.title = Number(mine) ? `(${mine}) ${title}` : title
  }
}

const names = (links) => links.map((link) => `${link.dataset.list} ${link.dataset.command}`).join()
const count = (link) => link.querySelector('.side__count')

/** Equal for two addresses of the same list; `desk/side.py` compares likewise. */
function list({ pathname, search }) {
  const pairs = [...new URLSearchParams(search)].filter(([name, value]) => value && !NO_MATTER.includes(name))
  return pathname + JSON.stringify(pairs.sort())
}

customElements.define('side-counts', SideCounts)
