/** Names of backups: the database and the time, UTC. */

/** Regular expression for the names of all databases' backups, in the syntax of both JavaScript and ClickHouse. */
export const NAME = '\\w+-\\d{8}T\\d{6}Z'
export const nameOf = (database: string, at: Date): string =>
  `${database}-${at.toISOString().replace(/[-:]|\.\d+/g, '')}`
export const isNameOf = (database: string, name: string): boolean =>
  name.startsWith(`${database}-`) && /^\d{8}T\d{6}Z$/.test(name.slice(database.length + 1))
