/** The Kafka request that fetches records. It involves no consumer group. */
import { errorName } from './cluster-requests.mts'
import { type Request, writeArray } from './transport.mts'

export interface Position {
  partition: number
  offset: number
}

export interface Fetched {
  partition: number
  error: string
  /** Record batches. The last one may be truncated, and the first may start before the requested offset. */
  batches: Buffer
}

export interface FetchLimits {
  /** Milliseconds that the broker may wait for a first record to arrive. */
  waitMs: number
  /** Maximum bytes for each partition; the first batch is sent whole even if it is larger. */
  partitionBytes: number
}

/** Maximum bytes for all partitions together. */
const MAX_BYTES = 32 * 1024 * 1024

/** Fetches records from these positions to the high watermark, also of open and aborted transactions. Send it to the partitions' leader. */
export const fetchRecords = (
  topic: string,
  positions: readonly Position[],
  { waitMs, partitionBytes }: FetchLimits,
): Request<Fetched[]> => ({
  key: 1,
  version: 11,
  write: (to) => {
    // Not a replica; respond from the first byte on; read uncommitted; no fetch session.
    to.writeInt32(-1).writeInt32(waitMs).writeInt32(1).writeInt32(MAX_BYTES).writeInt8(0).writeInt32(0).writeInt32(-1)
    writeArray(to, [topic], (name) =>
      writeArray(to.writeString(name), positions, ({ partition, offset }) =>
        to.writeInt32(partition).writeInt32(-1).writeInt64(offset).writeInt64(-1).writeInt32(partitionBytes),
      ),
    )
    return writeArray(to, [], () => {}).writeString('')
  },
  read: (from) => {
    from.forward(4)
    const failure = errorName(from.readInt16())
    from.forward(4)
    const topics = from.readArray(() => {
      from.readString()
      return from.readArray((): Fetched => {
        const [partition, error] = [from.readInt32(), errorName(from.readInt16())]
        from.forward(24)
        from.readArray(() => from.forward(16))
        from.forward(4)
        return { partition, error, batches: from.readBytes() ?? Buffer.alloc(0) }
      })
    })
    const answers = topics.flat()
    return failure === 'NONE'
      ? answers
      : positions.map(({ partition }) => ({ partition, error: failure, batches: Buffer.alloc(0) }))
  },
})
