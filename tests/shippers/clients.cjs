// Sends the events of a file with a Node.js client and prints what the client reports, as JSON. CLIENT is
// elasticsearch8, elasticsearch9, pino, or one of the first two with "-index" for one request per event. Usage: node clients.cjs CLIENT URL KEY FILE
'use strict'
const fs = require('node:fs')

const [, , name, node, key, file] = process.argv
const lines = fs.readFileSync(file, 'utf8').split('\n').filter(Boolean)

async function official (packaged) {
  const { Client } = require(packaged)
  const client = new Client({ node, auth: { apiKey: { id: 'any', api_key: key } }, compression: true })
  const { version } = await client.info()
  const dropped = []
  const stats = await client.helpers.bulk({
    datasource: lines.map((line) => JSON.parse(line)),
    // Events of the host that ends in "a" are sent as `create`. All others are sent as `index`, with an id.
    onDocument: (event) => event.host && event.host.name.endsWith('a')
      ? { create: { _index: 'logs' } }
      : [{ index: { _index: 'logs', _id: 'chosen' } }, event],
    onDrop: (found) => dropped.push([found.status, found.error.reason]),
    flushBytes: 2000,
    retries: 2,
    wait: 10,
    refreshOnCompletion: 'logs'
  })
  await client.close()
  return { version: version.number, successful: stats.successful, failed: stats.failed, retried: stats.retry, dropped }
}

async function oneByOne (packaged) {
  const { Client } = require(packaged)
  const client = new Client({ node, auth: { apiKey: { id: 'any', api_key: key } } })
  const told = { successful: 0, failed: 0, retried: 0, dropped: [] }
  for (const [number, line] of lines.entries()) {
    const target = number % 2 ? { index: 'logs' } : { index: 'logs', id: 'chosen' }
    try {
      const answer = await client.index({ ...target, document: JSON.parse(line) })
      if (answer.result === 'created') told.successful++
    } catch (error) {
      told.failed++
      told.dropped.push([error.meta.statusCode, error.meta.body.error.reason])
    }
  }
  await client.close()
  return told
}

function pino () {
  return new Promise((resolve, reject) => {
    const stream = require('pino-elasticsearch')({
      node, index: 'pino', esVersion: 8, opType: 'create', flushBytes: 2000, auth: { apiKey: key }
    })
    const dropped = []
    stream.on('error', reject)
    stream.on('insertError', (found) => dropped.push([400, String(found.message)]))
    stream.on('insert', (stats) =>
      resolve({ successful: stats.successful, failed: stats.failed, retried: stats.retry, dropped }))
    lines.forEach((line) => stream.write(line + '\n'))
    stream.end()
  })
}

const packaged = name.replace('-index', '')
const sending = name === 'pino' ? pino() : name === packaged ? official(name) : oneByOne(packaged)
sending.then(
  (told) => console.log(JSON.stringify(told)),
  (error) => { console.error(error); process.exitCode = 1 }
)
