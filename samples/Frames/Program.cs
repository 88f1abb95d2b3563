// A camera process fills frames, a viewer process reads them where they are: one pool of blocks, two semaphores, no copy. Try it:
//   dotnet run -c Release --project samples/Frames             both processes
//   Frames view PATH, then Frames film PATH                    each by itself; kill -9 either at any time
using System.Diagnostics;
using System.Net.Sockets;
using System.Runtime.InteropServices;
using Rpal.Memory.Blocks;
using Rpal.Memory.Parties;
using Rpal.Memory.Segments;
using Rpal.Memory.Waiting;

const int frames = 200, frameBytes = 1_000_000, slots = 4;
TimeSpan patience = TimeSpan.FromSeconds(10);

if (args is ["view", var viewPath])
{
    File.Delete(viewPath);
    using var listener = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
    listener.Bind(new UnixDomainSocketEndPoint(viewPath));
    listener.Listen();
    using Socket camera = listener.Accept();
    View(camera);
}
else if (args is ["film", var filmPath])
{
    using var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
    for (var since = Stopwatch.StartNew(); !socket.Connected; Thread.Sleep(10))            // the viewer may still be starting
    {
        try
        {
            socket.Connect(new UnixDomainSocketEndPoint(filmPath));
        }
        catch (SocketException) when (since.Elapsed < patience)
        {
        }
    }

    Film(socket);
}
else
{
    string path = Path.Combine(Path.GetTempPath(), $"frames-{Environment.ProcessId}");
    using var viewer = Process.Start(Environment.ProcessPath!, ["view", path]);
    using var camera = Process.Start(Environment.ProcessPath!, ["film", path]);
    camera.WaitForExit();
    viewer.WaitForExit();
    File.Delete(path);
    return Math.Max(camera.ExitCode, viewer.ExitCode);
}

return 0;

void Film(Socket socket)
{
    // Four parts, known to the viewer by number: 0 pool, 1 semaphores, 2 the frames on their way.
    using Segment segment = Segment.Create(16 << 20);
    BlockPool pool = BlockPool.Create(segment, new BlockPoolOptions { BlockBytes = 65536, BlockCount = 128 });
    SharedSemaphore[] semaphores = SharedSemaphore.CreateMany(segment, 2);
    (SharedSemaphore filled, SharedSemaphore room) = (semaphores[0], semaphores[1]);
    Span<BlockReference> sent = MemoryMarshal.Cast<byte, BlockReference>(segment.AddBytes(slots * BlockReference.SizeBytes).Bytes);
    room.Release(slots);
    SegmentTransfer.Send(segment, socket.SafeHandle, patience);
    Party viewer = segment.OtherParties()[0];

    var watch = Stopwatch.StartNew();
    for (int i = 0; i < frames; i++)
    {
        if (room.Wait(patience) != WaitStatus.Acquired || pool.TryReserveChain(frameBytes, out BlockChain? frame) != BlockStatus.Done)
        {
            throw new IOException($"{segment.Describe(viewer)} takes no frames.");
        }

        using (frame)
        {
            for (int piece = 0; piece < frame!.PieceCount; piece++)
            {
                frame.Piece(piece).Fill((byte)i);
            }

            frame.TryOffer(viewer, out sent[i % slots]);                  // the viewer's from here on, also if this process dies
        }

        filled.Release();
    }

    // All taken: every slot is free again.
    for (int i = 0; i < slots; i++)
    {
        room.Wait(patience);
    }

    Console.WriteLine($"camera: {frames} frames of {frameBytes:N0} bytes, {frames * (double)frameBytes / watch.Elapsed.TotalSeconds / 1e9:0.0} GB/s");
}

void View(Socket socket)
{
    using Segment segment = SegmentTransfer.Receive(socket.SafeHandle, patience);
    BlockPool pool = BlockPool.Open(segment, part: 0);
    (SharedSemaphore filled, SharedSemaphore room) = (SharedSemaphore.Open(segment, part: 1, index: 0), SharedSemaphore.Open(segment, part: 1, index: 1));
    ReadOnlySpan<BlockReference> sent = MemoryMarshal.Cast<byte, BlockReference>(segment.Find(2, PartKind.Bytes).Bytes);
    int seen = 0, wrong = 0;
    while (seen < frames && filled.Wait(patience) == WaitStatus.Acquired)
    {
        if (pool.TryAcceptChain(sent[seen % slots], out BlockChain? frame) == BlockStatus.Done)
        {
            using (frame)
            {
                for (int piece = 0; piece < frame!.PieceCount; piece++)
                {
                    wrong += frame.Piece(piece).ContainsAnyExcept((byte)seen) ? 1 : 0;
                }
            }
        }

        seen++;
        room.Release();
    }

    Console.WriteLine($"viewer: {seen} frames, {wrong} wrong");
}
