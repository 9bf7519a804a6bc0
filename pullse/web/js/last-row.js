/* The row that one was in last: to be there again when something else has had the focus. */

import { all, currentRow } from './keys.js'

const PLACE = 'pullse.row' + location.pathname

let at = -1

export function rememberRow() {
  const row = currentRow()
  if (!row) return
  sessionStorage.setItem(PLACE, row.id)
  at = [...document.querySelectorAll('[data-row]')].indexOf(row)
}

/** That row; where it is gone, the one in its place. */
export function lastRow(rows = all('[data-row]')) {
  return rows.find(({ id }) => id === sessionStorage.getItem(PLACE)) ?? rows[Math.min(at, rows.length - 1)]
}

export function enterRow(row) {
  const target = row.querySelector('[data-key="o"], a[href]') ?? row
  target.focus()
  row.scrollIntoView({ block: 'nearest' })
}
