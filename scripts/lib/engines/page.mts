/** How the page of `npm run ui` is known from other web servers. */

/** What it says of itself first. */
export const PAGE = { status: 'UP', page: 'l2-market-data-stack' }

/** What its identity begins with, and what follows is which stack it shows: nothing else answers so. */
export const PAGE_IDENTITY = JSON.stringify(PAGE).replace('}', ',')

/** What a web server on this machine says where the page says what it is and which stack it shows. @throws when none answers */
export async function pageIdentity(port: number, timeoutMs: number): Promise<string> {
  const url = `http://127.0.0.1:${port}/api/health`
  const response = await fetch(url, { signal: AbortSignal.timeout(timeoutMs), headers: { Connection: 'close' } })
  return (await response.text()).slice(0, 10_000)
}
