/* /api/events as pages and as a stream. Read with fetch and not by EventSource, which can't tell
   why it was refused, hears no heartbeats, and so never notices a connection that died in sleep. */

const ADDRESS = '/api/events'
const SILENCE = 40_000
/* Milliseconds; the server says that it is there each 15 s. */

/** Why there are no facts: `status` is 0 where nobody answered; `wait` is what the server asks for. */
export class Cut extends Error {
  constructor(status, seconds = 0) {
    super(`The feed is cut (${status}).`)
    this.status = status
    this.wait = Math.min(Number(seconds) || 0, 60) * 1000
  }
}

/** Facts after a place: `{records, cursor, next_cursor}`. */
export async function page(after, signal) {
  const query = new URLSearchParams({ after, limit: 200 })
  const response = await ask(query, 'application/json', signal)
  return (await response.json()).data
}

/** Follow from a place until it ends or is cut: `fact(fact)`, or `over(cursor)` to start over there. */
export async function follow(after, { signal, opened, fact, over }) {
  const quiet = new AbortController()
  let timer
  const listen = () => {
    clearTimeout(timer)
    timer = setTimeout(() => quiet.abort(new Cut(0)), SILENCE)
  }
  listen()
  try {
    const both = AbortSignal.any([signal, quiet.signal])
    const response = await ask(new URLSearchParams({ after }), 'text/event-stream', both)
    opened()
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader()
    let [rest, id] = ['', after]
    for (;;) {
      const { value, done } = await reader.read()
      if (done) return
      listen()
      const blocks = (rest + value).split('\n\n')
      rest = blocks.pop()
      for (const block of blocks) {
        const { event, data, ...given } = parsed(block)
        id = given.id || id
        if (event === 'start_over') over(id)
        else if (data) fact(JSON.parse(data))
      }
    }
  } catch (error) {
    throw error instanceof Cut || signal.aborted ? error : new Cut(0)
  } finally {
    clearTimeout(timer)
  }
}

async function ask(query, accept, signal) {
  const options = { headers: { Accept: accept }, cache: 'no-store', signal }
  const response = await fetch(`${ADDRESS}?${query}`, options).catch((error) => {
    throw signal.aborted && !(error instanceof Cut) && error.name === 'AbortError' ? error : new Cut(0)
  })
  if (!response.ok) throw new Cut(response.status, response.headers.get('Retry-After'))
  return response
}

function parsed(block) {
  const fields = { event: 'message', id: '', data: '' }
  for (const line of block.split('\n')) {
    const [name, ...text] = line.split(': ')
    if (name in fields) fields[name] = text.join(': ')
  }
  return fields
}
