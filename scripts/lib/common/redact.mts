/** Keeps passwords out of a command's output: servers and programs may echo what they were sent. */

/** Shorter secrets also occur within ordinary words: replacing them would garble messages and hide nothing. */
const MIN_LENGTH = 4

const forms = new Set<string>()

/** Makes {@link redact} remove `secret` from now on: plain, and URL-, JSON- and base64-encoded, alone or within a longer text. */
export function registerSecret(secret: string): void {
  if (secret.length < MIN_LENGTH) return
  const encoded = [secret, encodeURIComponent(secret), JSON.stringify(secret).slice(1, -1)]
  // Base64 encodes three bytes at a time, so the characters depend on how many bytes precede the secret, as in `user:password`. The first
  // and last characters also depend on the adjacent bytes and are left out.
  const shifted = [0, 1, 2].map((before) => {
    const text = Buffer.concat([Buffer.alloc(before), Buffer.from(secret)]).toString('base64url')
    return text.slice(Math.ceil((before * 8) / 6), Math.floor(((before + Buffer.byteLength(secret)) * 8) / 6))
  })
  for (const form of [...encoded, ...shifted, ...shifted.map((text) => text.replaceAll('-', '+').replaceAll('_', '/'))])
    if (form.length >= MIN_LENGTH) forms.add(form)
}

/** Returns `text` with every form of every registered secret replaced. */
export function redact(text: string): string {
  let result = text
  for (const form of [...forms].sort((a, b) => b.length - a.length)) result = result.replaceAll(form, '[secret]')
  return result
}
