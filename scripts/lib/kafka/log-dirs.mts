/** The replicas on the brokers' disks. */
import { errorName } from './cluster-requests.mts'
import { type Request, writeArray } from './transport.mts'

export interface LogDir {
  /** `NONE`, or why the broker cannot use it. */
  error: string
  path: string
  replicas: { topic: string; partition: number; bytes: number }[]
}

/** Lists a broker's log directories with every replica in them. A user without permission to describe the cluster sees none. */
export const describeLogDirs: Request<LogDir[]> = {
  key: 35,
  version: 1,
  write: (to) => writeArray(to, null, () => {}),
  read: (from) => {
    from.forward(4)
    return from.readArray(() => {
      const [error, path] = [errorName(from.readInt16()), from.readString() ?? '']
      const topics = from.readArray(() => {
        const topic = from.readString() ?? ''
        return from.readArray(() => {
          const replica = { topic, partition: from.readInt32(), bytes: Number(from.readInt64()) }
          // Skips the replica's lag and whether it is moving between directories.
          from.forward(9)
          return replica
        })
      })
      return { error, path, replicas: topics.flat() }
    })
  },
}

/** Reads the log directories of every broker, by broker ID. */
export async function readLogDirs(
  { sendTo }: { sendTo: <T>(broker: number, request: Request<T>) => Promise<T> },
  brokers: readonly { id: number }[],
): Promise<Map<number, LogDir[]>> {
  return new Map(await Promise.all(brokers.map(async ({ id }) => [id, await sendTo(id, describeLogDirs)] as const)))
}

/** Returns the bytes of each topic, summed over all replicas on all brokers. */
export function bytesByTopic(brokers: ReadonlyMap<number, readonly LogDir[]>): Map<string, number> {
  const bytes = new Map<string, number>()
  for (const { topic, bytes: size } of [...brokers.values()].flat().flatMap(({ replicas }) => replicas))
    bytes.set(topic, (bytes.get(topic) ?? 0) + size)
  return bytes
}
