import path from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { locationOf, parseS3 } from '../../scripts/lib/s3/address.mts'

const addresses = suite('addresses of S3')

addresses('name a bucket and a prefix', () => {
  assert.equal(parseS3('s3://my.bucket-1'), { bucket: 'my.bucket-1', prefix: '' })
  assert.equal(parseS3('s3://bucket/'), { bucket: 'bucket', prefix: '' })
  assert.equal(parseS3('s3://bucket/a b/c+é/'), { bucket: 'bucket', prefix: 'a b/c+é' })
})

addresses('are refused if a server or a path would read them differently', () => {
  for (const text of [
    's3://',
    's3:///a',
    's3://Bucket',
    's3://b',
    's3://bucket//a',
    's3://bucket/../a',
    's3://bucket/a\nb',
    's3://user:word@bucket/a',
  ])
    assert.throws(
      () => parseS3(text),
      (failure: Error) => failure instanceof RangeError,
      text,
    )
})

addresses('are accepted instead of a folder', () => {
  assert.is(locationOf('s3://bucket/a/'), 's3://bucket/a')
  assert.is(locationOf('a'), path.resolve('a'))
})
addresses.run()
