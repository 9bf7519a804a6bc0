/* Rows of the list of tickets: put anew in their places, with what is typed, chosen or under the
   cursor left alone. */

import { load } from './http.js'

const AT_ONCE = 100

export const rowOf = (list, id) => list.querySelector(`[data-row][data-ticket="${CSS.escape(id)}"]`)

export const boxOf = (row) => row.querySelector('[name=ticket]')

export function choose(row, isChosen) {
  const box = boxOf(row)
  if (!box.disabled) box.checked = isChosen
}

/** The tickets as they are now, by their ids; what is not there (any more) is not in it. */
export async function read(list, ids) {
  const found = new Map()
  for (let at = 0; at < ids.length; at += AT_ONCE) {
    const { nodes } = await load(addressOf(list, 'rows', ids.slice(at, at + AT_ONCE).map((id) => ['id', id])))
    for (const row of nodes.querySelectorAll('[data-row]')) found.set(row.dataset.ticket, row)
  }
  return found
}

export function addressOf(list, fragment, more = []) {
  const address = new URL(list.getAttribute('src'), location.href)
  address.searchParams.set('fragment', fragment)
  for (const [name, value] of more) address.searchParams.append(name, value)
  return address
}

/** `row` becomes what `fresh` is: cell by cell, and only where something differs. */
export function renew(row, fresh) {
  if (Number(fresh.dataset.version) < Number(row.dataset.version)) return
  const box = boxOf(row)
  const isChosen = box?.checked
  for (const { name, value } of fresh.attributes) row.setAttribute(name, value)
  for (const name of ['data-off', 'data-gone', 'aria-busy']) row.toggleAttribute(name, fresh.hasAttribute(name))
  ;[...row.cells].forEach((cell, index) => renewCell(cell, fresh.cells[index]))
  if (box) Object.assign(box, { checked: isChosen, disabled: false, value: boxOf(fresh).value })
}

/** It has been deleted, or is not for us any more. */
export function mark(row) {
  row.toggleAttribute('data-off', true)
  row.toggleAttribute('data-gone', true)
  row.removeAttribute('aria-busy')
  const box = boxOf(row)
  if (box) Object.assign(box, { checked: false, disabled: true })
}

function renewCell(cell, fresh) {
  if (!fresh || cell.dataset.column === 'select' || cell.isEqualNode(fresh)) return
  const had = cell.contains(document.activeElement)
  cell.replaceChildren(...fresh.childNodes)
  if (had) cell.querySelector('a, button')?.focus({ preventScroll: true })
}
