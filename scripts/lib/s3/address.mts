/** Parses `s3://BUCKET/PREFIX`, which flags accept in place of a folder. */
import path from 'node:path'

export interface S3Address {
  bucket: string
  /** Without a leading or trailing `/`; may be empty. */
  prefix: string
}

export const isS3 = (address: string): boolean => address.startsWith('s3://')

/**
 * Parses an S3 address.
 * @throws {RangeError} whose message says what was expected
 * @see https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html
 */
export function parseS3(text: string): S3Address {
  const [, bucket = '', prefix = ''] = /^s3:\/\/([^/]+)(?:\/(.*))?$/s.exec(text) ?? []
  if (!/^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/.test(bucket)) throw new RangeError('s3://BUCKET/PREFIX')
  const whole = prefix.replace(/\/$/, '')
  const isName = (name: string) => /^[^\p{Cc}?#\\]+$/u.test(name) && !/^\.{1,2}$/.test(name)
  if (whole !== '' && !whole.split('/').every(isName))
    throw new RangeError('s3://BUCKET/PREFIX, with a valid name between slashes')
  return { bucket, prefix: whole }
}

/** Normalizes the value of a flag: to an absolute path, or an S3 address without a trailing slash. */
export const locationOf = (text: string): string => (isS3(text) ? text.replace(/\/$/, '') : path.resolve(text))
