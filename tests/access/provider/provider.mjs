// An OpenID provider with the people and the clients that it is given. Its login page takes any password.
import { generateKeyPairSync } from 'node:crypto'
import { createServer } from 'node:http'
import Provider from 'oidc-provider'

const { clients, people, conform } = JSON.parse(process.argv[2])

const key = (kid, alg, ...how) => ({
  ...generateKeyPairSync(...how).privateKey.export({ format: 'jwk' }), kid, alg, use: 'sig'
})
const keys = [
  key('one', 'RS256', 'rsa', { modulusLength: 2048 }),
  key('two', 'PS256', 'rsa', { modulusLength: 2048 }),
  key('three', 'ES256', 'ec', { namedCurve: 'P-256' }),
  key('four', 'EdDSA', 'ed25519')
]
const server = createServer()

server.listen(0, '127.0.0.1', () => {
  const issuer = `http://127.0.0.1:${server.address().port}`
  const provider = new Provider(issuer, {
    clients,
    jwks: { keys },
    cookies: { keys: ['of a provider in tests'] },
    claims: { openid: ['sub'], email: ['email', 'email_verified'], profile: ['name'] },
    conformIdTokenClaims: conform,
    enabledJWA: { idTokenSigningAlgValues: ['RS256', 'PS256', 'ES256', 'EdDSA'] },
    pkce: { required: () => true },
    findAccount: (_, id) => people[id] && { accountId: id, claims: () => ({ sub: id, ...people[id] }) }
  })
  server.on('request', provider.callback())
  console.log(JSON.stringify({ name: 'issuer', value: issuer }))
})
