/** Recognizes the page of `npm run ui` among other web servers. */
import { httpText } from '../common/http.mts'

/** The first fields of the page's identity. */
export const PAGE = { status: 'UP', page: 'l2-market-data-stack' }

/** The start of the page's identity, which no other server sends. The stack that the page shows follows. */
export const PAGE_IDENTITY = JSON.stringify(PAGE).replace('}', ',')

/** Returns the body that a web server on this machine sends at the URL of the page's identity. @throws {Error} if none answers in time */
export async function pageIdentity(port: number, timeoutMs: number): Promise<string> {
  const url = `http://127.0.0.1:${port}/api/health`
  return (await httpText(url, { timeoutMs })).text
}
