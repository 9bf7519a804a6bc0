/* The parts of a ticket's page, and how those of an answer take their places: what somebody writes
   in or chooses from right now is left alone, and focus stays where it was. */

import { load } from './http.js'

const PARTS = ['ticket-head', 'ticket-properties', 'ticket-conflict', 'ticket-text', 'ticket-timeline']

const at = (id) => document.getElementById(id)

/** Is somebody writing in that part, or has chosen what is not sent yet? */
export const isOpen = (id) => Boolean(at(id)?.matches('[data-editing]') || at(id)?.querySelector('[data-editing]'))

/** The parts of the page at an address, as they are now. */
export async function partsAt(href) {
  const path = new URL(href, location.href)
  path.searchParams.delete('done')
  path.searchParams.set('fragment', 'parts')
  return (await load(path.pathname + path.search)).nodes
}

/** All parts, but for those that are named; after what was sent here, with the field it came from. */
export function put(nodes, except = [], isOwn = false) {
  const focused = document.activeElement?.id
  const kept = [...except, isOpen('ticket-properties') && 'ticket-properties']
  for (const id of PARTS.filter((each) => !kept.includes(each))) {
    const [there, found] = [at(id), nodes.querySelector(`#${id}`)]
    if (!there || !found) continue
    if (id === 'ticket-timeline') there.take(found)
    else if (id === 'ticket-properties' && there.contains(document.activeElement?.closest(isOwn ? 'select' : 'select, [name=who]'))) putAround(there, found)
    else there.replaceWith(found)
  }
  if (focused && document.activeElement === document.body) at(focused)?.focus()
  document.querySelector('ticket-presence')?.setAttribute('channel', at('ticket-head').dataset.channel)
  const [number, title] = [document.querySelector('ticket-page').dataset.number, at('ticket-head').querySelector('h1')]
  document.title = document.title.replace(/.* · /s, `#${number} ${title.textContent} · `)
}

/** Says in what is being written what others did since. */
export function tellNews(nodes, actor) {
  const isNews = (entry) => !at(entry.id) && entry.dataset.actor !== actor
  const entry = [...nodes.querySelectorAll('#ticket-timeline li')].filter(isNews).pop()
  const text = [...(entry?.querySelectorAll('[data-said]') ?? [])].map((each) => each.textContent.trim()).join(' ')
  for (const place of text ? document.querySelectorAll('[data-news]') : []) place.textContent = text
}

/** The choice that has the focus stays as it is, with the version that it was made from. */
function putAround(there, found) {
  const chosen = document.activeElement
  const now = found.querySelector(`#${chosen.id}`)
  there.querySelector('dl').replaceWith(found.querySelector('dl'))
  for (const select of there.querySelectorAll('select')) {
    const other = found.querySelector(`#${select.id}`)
    if (select !== chosen && other) select.replaceWith(other)
  }
  if (!now || now.value !== chosen.value) return
  for (const version of there.querySelectorAll('[name=version]')) version.value = found.querySelector('[name=version]').value
}
