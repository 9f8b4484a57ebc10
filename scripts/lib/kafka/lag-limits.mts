/** Records of one consumer group or topic that are not read yet above which it is a warning, and an error. */
export interface LagLimits {
  lagWarning: number
  lagCritical: number
}

export const LAG_LIMITS: LagLimits = { lagWarning: 1_000, lagCritical: 10_000 }
