import { createServer } from "node:http";
import { Server } from "socket.io";

const http = createServer((request, response) => {
  const chunks = [];
  request.on("data", (chunk) => chunks.push(chunk));
  request.on("end", () => {
    if (request.url === "/publish") {
      io.to("bench").emit("message", JSON.parse(Buffer.concat(chunks)));
      response.writeHead(201, { "content-length": "2" }).end("{}");
    }
  });
});

const io = new Server(http, { transports: ["websocket"] });
io.on("connection", (socket) => socket.join("bench"));

http.listen(0, "127.0.0.1", () => console.log(`http://127.0.0.1:${http.address().port}`));
