/** Formats a number for people, with commas between thousands and at most three decimals. `Intl.NumberFormat` does the same, but takes 10 ms to load. */
export const formatCount = (value: number): string =>
  String(Number.isInteger(value) ? value : Math.round(value * 1000) / 1000).replace(
    /\B(?<!\.\d*)(?=(\d{3})+(?!\d))/g,
    ',',
  )
