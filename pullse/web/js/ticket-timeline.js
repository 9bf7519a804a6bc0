/* <ticket-timeline>: more of what happened, and what a change did to the text, are shown in their
   place. `take` adds what is new and leaves what one reads where it is. */

import { load } from './http.js'

class TicketTimeline extends HTMLElement {
  // Lifecycle

  connectedCallback() {
    this.addEventListener('click', this)
    this.#follow()
  }

  // Actions

  handleEvent(event) {
    const link = event.target.closest('[data-more] a:first-child, a[data-diff]')
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return
    event.preventDefault()
    if (link.matches('[data-diff]')) this.#compare(link)
    else this.#more(link)
  }

  /** Another timeline of the ticket, as it is now. */
  take(found) {
    const known = [...found.querySelectorAll('li')].filter((entry) => document.getElementById(entry.id))
    if (!known.length) return this.replaceWith(found)
    for (const entry of known) {
      const end = document.getElementById(entry.id).querySelector('.timeline__end')
      end.replaceWith(entry.querySelector('.timeline__end'))
      entry.remove()
    }
    if (!this.querySelector('[data-more=later]')) this.#list.append(...found.querySelectorAll('li'))
  }

  // Private

  /** A link to a change that is not on this page: to the page that it is on. */
  #follow() {
    const fact = /^#fact-(\d{1,18})$/.exec(location.hash)?.[1]
    const asked = new URLSearchParams(location.search).get('fact')
    if (fact && fact !== asked && !document.getElementById(`fact-${fact}`)) location.replace(`${location.pathname}?fact=${fact}${location.hash}`)
  }

  async #more(link) {
    const place = link.closest('[data-more]')
    const isEarlier = place.dataset.more === 'earlier'
    const path = new URL(link.href)
    path.searchParams.set('fragment', 'timeline')
    const { nodes } = await load(path.pathname + path.search)
    const entries = [...nodes.querySelectorAll('li')]
    const next = nodes.querySelector(`[data-more=${place.dataset.more}]`)
    if (next) place.replaceWith(next)
    else place.remove()
    if (isEarlier) this.#list.prepend(...entries)
    else this.#list.append(...entries)
    entries.at(isEarlier ? -1 : 0)?.querySelector('a')?.focus({ preventScroll: isEarlier })
  }

  async #compare(link) {
    const entry = link.closest('li')
    const shown = entry.querySelector('.diff')
    link.ariaExpanded = String(!shown)
    if (shown) return shown.remove()
    const { nodes } = await load(`${new URL(link.href).pathname}?fragment=diff`)
    entry.querySelector('.timeline__text').append(nodes)
  }

  get #list() {
    return this.querySelector('ol')
  }
}

customElements.define('ticket-timeline', TicketTimeline)
