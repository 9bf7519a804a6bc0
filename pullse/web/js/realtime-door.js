/* Where the real-time service of this desk is, and a token for it: the built-in gateway, at this very
   address, or Ably. Both speak the same protocol. */

const ABLY = 'main.realtime.ably.net'

/** The address of a WebSocket for this token. */
export async function door(token) {
  const { provider, client_options: options } = await config()
  const address = addressOf(provider, options, 'ws')
  const query = { access_token: token, v: 3, format: 'json', heartbeats: true, remainPresentFor: 5000 }
  address.search = new URLSearchParams(query)
  return address
}

/** A token for one channel, and in whose name: `{token, clientId}`. */
export async function tokenFor(channel) {
  const capability = JSON.stringify({ [channel]: ['presence', 'subscribe'] })
  const found = await ask(`/api/realtime/token?${new URLSearchParams({ capability })}`)
  if (found.token) return found
  const { client_options: options } = await config() // a signed request, which Ably exchanges
  const address = addressOf('ably', options, 'http')
  address.pathname = `/keys/${found.keyName}/requestToken`
  const head = { 'Content-Type': 'application/json', Accept: 'application/json' }
  return ask(address, { method: 'POST', headers: head, body: JSON.stringify(found) })
}

let known

async function config() {
  known ??= ask('/api/realtime/config').then(({ data }) => data)
  return known.catch((error) => {
    known = undefined
    throw error
  })
}

function addressOf(provider, { endpoint = ABLY, port, tlsPort, tls = true }, scheme) {
  const address = new URL('/', location.href)
  const isSafe = provider === 'ably' ? tls : location.protocol === 'https:'
  address.protocol = isSafe ? `${scheme}s:` : `${scheme}:`
  if (provider === 'ably') address.hostname = endpoint
  if (provider === 'ably') address.port = (tls ? tlsPort : port) ?? ''
  return address
}

async function ask(path, options) {
  const response = await fetch(path, { cache: 'no-store', ...options })
  if (!response.ok) throw Object.assign(new Error(`${response.status}`), { status: response.status })
  return response.json()
}
