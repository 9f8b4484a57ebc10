/** Unread records of one consumer group or topic above which lag is a warning, and above which it is an error. */
export interface LagLimits {
  lagWarning: number
  lagCritical: number
}

export const LAG_LIMITS: LagLimits = { lagWarning: 1_000, lagCritical: 10_000 }
