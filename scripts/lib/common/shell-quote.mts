/** An argument as it stands in a hinted command: quoted where a shell would read it as more than a word. */
export const quoted = (text: string): string =>
  /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`
