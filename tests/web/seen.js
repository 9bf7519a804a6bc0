/* What tests ask of a page: each answers with what is wrong, or nothing. */

globalThis.seen = {
  async axe() {
    const { violations } = await axe.run(document, { resultTypes: ['violations'] })
    return violations.map(({ id, help, nodes }) => ({
      id,
      help,
      nodes: nodes.slice(0, 5).map(({ html, failureSummary }) => [html.slice(0, 300), failureSummary]),
    }))
  },

  /* One first heading, and no level left out. */
  headings() {
    const all = [...document.querySelectorAll('main :is(h1, h2, h3, h4, h5, h6)')]
    const levels = all
      .filter((each) => each.checkVisibility() && !each.closest('dialog'))
      .map(({ tagName }) => Number(tagName[1]))
    const leaps = levels.some((level, index) => index > 0 && level - levels[index - 1] > 1)
    return levels[0] !== 1 || levels.filter((each) => each === 1).length !== 1 || leaps ? levels : []
  },

  /* Below 24 by 24 CSS pixels, with another one nearer than that (WCAG 2.2, 2.5.8); not in a text. */
  smallTargets() {
    const targets = [...document.querySelectorAll('a, button, input, select, textarea, summary')]
      .filter((each) => each.checkVisibility({ opacityProperty: true, visibilityProperty: true }))
      .filter((each) => each.tabIndex >= 0)
      .map((each) => [each, (each.closest('label') ?? each).getBoundingClientRect()])
    return targets
      .filter(([each, box]) => box.width > 1 && (box.width < 24 || box.height < 24))
      .filter(([each]) => getComputedStyle(each).display !== 'inline' || !each.matches('a'))
      .filter(([each, box]) => targets.some(([other, it]) => other !== each && isNear(box, it)))
      .map(([each, { width, height }]) => [each.outerHTML.slice(0, 160), width, height])
  },

  /* For who wants no motion. */
  motion() {
    return document.getAnimations()
      .filter(({ effect }) => effect.getComputedTiming().activeDuration > 1)
      .map(({ animationName, transitionProperty }) => animationName ?? transitionProperty)
  },

  /* How far the page is wider than its window, by letters of this size. */
  overflow(size) {
    document.documentElement.style.fontSize = size
    return document.documentElement.scrollWidth - innerWidth
  },

  /* Where the keyboard is: what is wrong with how that shows, or null at the end of the page. */
  stop() {
    const at = document.activeElement
    if (at === document.body) return null
    const shown = at.closest('.segments > label') ?? at
    const { outlineStyle, outlineWidth } = getComputedStyle(shown)
    const box = shown.getBoundingClientRect()
    const over = document.elementFromPoint(box.x + Math.min(box.width / 2, 8), box.y + Math.min(box.height / 2, 8))
    const wrong = []
    if (outlineStyle === 'none' || outlineWidth === '0px') wrong.push('no outline')
    if (box.bottom <= 0 || box.top >= innerHeight || box.right <= 0 || box.left >= innerWidth) wrong.push('outside')
    if (!over || !(at.contains(over) || over.contains(at) || over.closest('label')?.contains(at))) wrong.push('covered')
    return wrong.length ? [at.outerHTML.slice(0, 160), ...wrong] : []
  },
}

function isNear(box, other) {
  const [x, y] = [box.x + box.width / 2, box.y + box.height / 2]
  const [nearX, nearY] = [clamp(x, other.left, other.right), clamp(y, other.top, other.bottom)]
  return Math.hypot(nearX - x, nearY - y) < 12
}

function clamp(value, least, most) {
  return Math.max(least, Math.min(value, most))
}
