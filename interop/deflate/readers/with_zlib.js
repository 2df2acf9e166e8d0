// Reads with http and zlib's gunzip.
'use strict'

const http = require('node:http')
const readline = require('node:readline')
const zlib = require('node:zlib')

const [url, token] = process.argv.slice(2)

http.get(url, { headers: { Authorization: `Bearer ${token}`, 'Accept-Encoding': 'gzip' } }, (response) => {
  if (response.statusCode !== 200) throw new Error(String(response.statusCode))
  const plain = response.pipe(zlib.createGunzip())
  plain.on('error', (error) => { throw error })
  readline.createInterface({ input: plain }).on('line', (line) => {
    if (line) console.log(Number(JSON.parse(line).offset))
  })
})
