// Reads with fetch, which decodes by itself.
'use strict'

async function main([url, token]) {
  const headers = { Authorization: `Bearer ${token}`, 'Accept-Encoding': 'gzip' }
  const response = await fetch(url, { headers })
  if (response.status !== 200) throw new Error(await response.text())
  if (response.headers.get('content-encoding') !== 'gzip') throw new Error('not gzip')
  const decoder = new TextDecoder()
  let rest = ''
  for await (const chunk of response.body) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split('\n')
    rest = lines.pop()
    for (const line of lines.filter(Boolean)) console.log(Number(JSON.parse(line).offset))
  }
  if (rest) throw new Error('the last line was cut')
}

main(process.argv.slice(2))
