// A client that a driver kills: takes every place that a token has, prints how many there were, and
// keeps them. `holder.js SERVER TOKEN`.
'use strict'

const { open, settled } = require('./stand.js')

async function hold() {
  let held = 0
  while (held < 8 && (await settled(open({ start: 'LATEST', enable_offset_updates: true }, { credential: process.argv[3] })))) held++
  console.log(held)
  setTimeout(() => {}, 120000)
}

hold()
