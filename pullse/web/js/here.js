/* Whose page this is, of which release; and who is signed in now, and what runs. */

const meta = (name) => document.querySelector(`meta[name=${name}]`)?.content

export const agent = meta('agent')
export const release = meta('release')

/** `{agent, release}` as the server has them now; none where it does not say. */
export async function here() {
  const response = await fetch('/here', { cache: 'no-store' }).catch(() => null)
  if (!response?.ok) return null
  return { agent: response.headers.get('Pullse-Agent'), release: response.headers.get('Pullse-Release') }
}
