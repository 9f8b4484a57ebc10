/** What backups are named: database and time. */

export const nameOf = (database: string, at: Date): string =>
  `${database}-${at.toISOString().replace(/[-:]|\.\d+/g, '')}`
export const isNameOf = (database: string, name: string): boolean =>
  name.startsWith(`${database}-`) && /^\d{8}T\d{6}Z$/.test(name.slice(database.length + 1))
