using System.Diagnostics;
using System.Text;
using System.Text.Json.Nodes;
using Rpal.Memory.Buffers;

namespace Rpal.Cli.Bench;

/// <summary><c>rpal bench ownership</c>: what it costs that bytes become another process's, by each way, side by side.</summary>
internal static class OwnershipFigures
{
    /// <summary>Sizes by the name that figures have.</summary>
    public static readonly (string Name, int Bytes)[] Sizes = [("4KiB", 4 << 10), ("64KiB", 64 << 10), ("512KiB", 512 << 10), ("4MiB", 4 << 20)];

    /// <summary>Above it, what owning costs is less than what filling and reading varies by.</summary>
    private const int DifferenceBytesLimit = 64 << 10;

    public const string Description = "fill, hand over and read 4 KiB to 4 MiB: a fresh sealed memfd each time, a Unix socket, plain shared memory (the floor), and owned buffers at each level";

    public static async Task<JsonObject> Run(Action<double> progress)
    {
        using Process writer = BenchRunner.Start("ownership-writer", $"{BenchFigures.FirstCpu}", $"{BenchFigures.LastCpu}");
        JsonObject? result = null;
        while (await writer.StandardOutput.ReadLineAsync().ConfigureAwait(false) is { } line)
        {
            result = PeerProtocol.Read(Encoding.UTF8.GetBytes(line), progress) ?? result;
        }

        await writer.WaitForExitAsync().ConfigureAwait(false);
        return Shaped(result ?? throw new BenchFailedException("The writing process gave no result; its errors are above."));
    }

    /// <summary>The nanoseconds of each row, what of them is ownership's own (checked less plain, where that can be told), then the ratios of the classic way to each.</summary>
    private static JsonObject Shaped(JsonObject ns)
    {
        var shaped = new JsonObject { ["writer_cpu"] = BenchFigures.FirstCpu, ["reader_cpu"] = BenchFigures.LastCpu };
        foreach ((string size, int bytes) in Sizes)
        {
            double classic = Ns(OwnershipMethod.Classic), socket = Ns(OwnershipMethod.Socket);
            OwnershipMethod chosen = bytes >= OwnedBuffer.MoveFromBytes ? OwnershipMethod.GuardedMove : OwnershipMethod.GuardedProtect;
            (string Name, OwnershipMethod Method)[] rows =
            [
                ("checked", OwnershipMethod.Checked), ("checked_by_locks", OwnershipMethod.CheckedLocks), ("guarded", chosen),
                ("guarded_mprotect", OwnershipMethod.GuardedProtect), ("guarded_mremap", OwnershipMethod.GuardedMove), ("guarded_by_keys", OwnershipMethod.GuardedKeys),
            ];
            shaped[$"classic_{size}_ns"] = Math.Round(classic);
            shaped[$"socket_{size}_ns"] = Math.Round(socket);
            shaped[$"plain_{size}_ns"] = Math.Round(Ns(OwnershipMethod.Plain));
            foreach ((string name, OwnershipMethod method) in rows.Where(r => ns[Key(r.Method)] is not null))
            {
                shaped[$"{name}_{size}_ns"] = Math.Round(Ns(method));
            }

            if (bytes <= DifferenceBytesLimit)
            {
                shaped[$"ownership_{size}_ns"] = Math.Round(Ns(OwnershipMethod.Checked) - Ns(OwnershipMethod.Plain));
            }

            shaped[$"classic_to_plain_{size}"] = Math.Round(classic / Ns(OwnershipMethod.Plain), 2);          // the most that any ownership can reach here
            shaped[$"classic_to_socket_{size}"] = Math.Round(classic / socket, 2);
            foreach ((string name, OwnershipMethod method) in rows.Where(r => ns[Key(r.Method)] is not null))
            {
                shaped[$"classic_to_{name}_{size}"] = Math.Round(classic / Ns(method), 2);
            }

            string Key(OwnershipMethod method) => $"{method}_{size}";
            double Ns(OwnershipMethod method) => BenchFigures.Number(ns, Key(method));
        }

        return shaped;
    }
}
