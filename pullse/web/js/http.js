/* What elements share to talk with the server: forms are sent as a browser would send them, and
   HTML of ours becomes nodes. The one place that makes trusted HTML, of answers from here alone. */

const policy = globalThis.trustedTypes?.createPolicy('pullse', { createHTML: (html) => html })

export class Refused extends Error {
  constructor(response, nodes) {
    super(`${response.status}`)
    this.status = response.status
    this.nodes = nodes
  }
}

/** The nodes of a page or a fragment of ours. Throws `Refused` for a refusal (with its page). */
export async function load(path, options = {}) {
  const response = await fetch(path, { ...options, headers: { Accept: 'text/html', ...options.headers } })
  const found = nodes(await response.text())
  if (!response.ok) throw new Refused(response, found)
  return { response, nodes: found }
}

/** Send a form as it would send itself, with what its button adds. */
export function send(form, submitter) {
  const body = new URLSearchParams(new FormData(form, submitter))
  return load(submitter?.hasAttribute('formaction') ? submitter.formAction : form.action, { method: 'POST', body })
}

function nodes(html) {
  const template = document.createElement('template')
  template.innerHTML = policy ? policy.createHTML(html) : html
  return template.content
}
