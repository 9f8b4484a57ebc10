/** The latest messages of a topic, for the page. */
import { redact } from '../common/redact.mts'
import { formatTime } from '../kafka/offsets.mts'
import { cut, printable } from '../messages/render.mts'
import { tailTopic } from '../messages/tail.mts'
import type { Settings } from '../settings/settings.mts'

export interface MessageView {
  partition: number
  offset: number
  time: string | null
  key: string | null
  /** With control characters escaped, truncated to {@link SHOWN_CHARACTERS}. */
  value: string
}

const SHOWN_CHARACTERS = 1_000
const SHOWN_MESSAGES = 20
const TIMEOUT_MS = 5_000

/** Redacts before truncating: half a secret would not be recognized. */
const shown = (bytes: Buffer | null): string => cut(redact(printable(bytes)), SHOWN_CHARACTERS)

/** Returns the latest messages, newest first. @throws {OpsError} as {@link tailTopic} does */
export async function readMessages(settings: Settings, topic: string): Promise<MessageView[]> {
  const messages: MessageView[] = []
  const request = { topic, last: SHOWN_MESSAGES, follow: false, timeoutMs: TIMEOUT_MS, log: () => {} }
  await tailTopic(settings, request, {
    begin: () => {},
    write: async (found) => {
      for (const { partition, offset, timestampMs, key, value } of found)
        messages.push({
          partition,
          offset,
          time: timestampMs === undefined ? null : formatTime(timestampMs),
          key: key === null ? null : shown(key),
          value: shown(value),
        })
    },
    stop: new Promise(() => {}),
    stopped: () => false,
  })
  return messages.reverse()
}
