// A stub of Kafka UI. Serves GET /actuator/health, and GET /api/clusters/NAME/topics with the real broker's topics.
import { createServer } from 'node:http'
import { Kafka, logLevel } from 'kafkajs'

const { KAFKA_CLUSTERS_0_NAME: name, KAFKA_CLUSTERS_0_BOOTSTRAPSERVERS: brokers = '' } = process.env
const admin = new Kafka({ brokers: brokers.split(','), logLevel: logLevel.ERROR }).admin()

createServer(async (request, response) => {
  const answer = (status, body) =>
    response.writeHead(status, { 'Content-Type': 'application/json' }).end(JSON.stringify(body))
  if (request.url === '/actuator/health') return answer(200, { status: 'UP' })
  if (request.url !== `/api/clusters/${name}/topics`) return answer(404, { status: 404 })
  try {
    await admin.connect()
    answer(200, { topics: (await admin.listTopics()).map((topic) => ({ name: topic })) })
  } catch (error) {
    answer(500, { message: error.message })
  }
}).listen(8080, () => process.stdout.write('Stub of Kafka UI, listening on 8080\n'))

process.on('SIGTERM', () => process.exit(0))
