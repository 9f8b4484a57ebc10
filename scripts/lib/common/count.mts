/** Formats numbers for display, with thousands separators. */
export const count = new Intl.NumberFormat('en-GB')
