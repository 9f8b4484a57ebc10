/** Numbers for people, with commas between thousands. */
export const count = new Intl.NumberFormat('en-GB')
