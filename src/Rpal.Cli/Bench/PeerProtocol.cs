using System.Text.Json;
using System.Text.Json.Nodes;

namespace Rpal.Cli.Bench;

/// <summary>What a benchmark's processes tell the command that started them: JSON lines on standard output.</summary>
internal static class PeerProtocol
{
    public static void Progress(double share) => Console.WriteLine(JsonSerializer.Serialize(new { progress = Math.Round(share, 3) }));

    public static void Result(object figures) => Console.WriteLine(JsonSerializer.Serialize(new { result = figures }));

    /// <summary>Takes a line in: progress is passed on, a result is returned.</summary>
    public static JsonObject? Read(ReadOnlySpan<byte> line, Action<double> progress)
    {
        if (line.IsEmpty || line[0] != '{')
        {
            return null;
        }

        JsonNode? node = JsonNode.Parse(line);
        if (node?["progress"] is { } share)
        {
            progress((double)share);
        }

        return node?["result"]?.AsObject();
    }
}
