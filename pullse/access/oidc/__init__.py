"""
Single sign-on: people show who they are by an account that they have at an OpenID Connect
provider, or by a JWT of Supabase Auth.

A provider's word is taken for who somebody is (issuer and subject), and once, when the account
is linked, for a verified e-mail address. What it says besides that opens nothing.
"""
